-- No program at all.
return { id = "chat-bad" interfaces = {} }
