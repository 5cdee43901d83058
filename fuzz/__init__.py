"""Every parser, fed with damaged input, beside an oracle that knows what it may answer."""
