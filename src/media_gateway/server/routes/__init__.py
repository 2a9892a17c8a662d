"""The addresses that the service answers, a module for each noun."""
