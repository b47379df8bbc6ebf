"""The law "everything can be killed anywhere": a kill at every durable effect of every job of one road."""
