"""The verbs: one guarded request, one fetch. No SQL, no sockets, no words of the command line."""
