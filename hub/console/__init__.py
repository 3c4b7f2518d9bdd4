"""The operator's view: facts from the hub's own files and APIs, pages made of them, a web console and a terminal."""
