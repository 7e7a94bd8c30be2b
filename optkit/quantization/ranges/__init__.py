"""From a histogram of a tensor to the range its integers cover. One file a method."""
