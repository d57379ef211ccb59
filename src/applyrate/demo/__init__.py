"""A simulated support agent, for a first look at what the service answers.

``agent`` is what it is made of, ``conversation`` what it does in one, ``simulation`` its days, and
``filling`` brings them into a data folder.
"""
