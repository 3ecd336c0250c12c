"""What simbus is held to; a package, because some distributions install one of the same name."""
