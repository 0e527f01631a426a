"""For the tests of applications, middleware and servers: clients, a live server, fakes."""
