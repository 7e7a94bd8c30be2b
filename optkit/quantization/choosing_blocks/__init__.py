"""Which weights in groups are handed over: how many bits each layer gets, and which algorithm rounds them."""
