"""Pure decisions about a request: may it go, what did the answer mean, is it worth another try."""
