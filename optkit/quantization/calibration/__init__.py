"""What examples teach about activations: values watched one example at a time, folded into statistics and ranges."""
