"""Publishing to a Tableau server, with the real tableauserverclient, against a server of the tests."""
