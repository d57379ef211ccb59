"""The dashboard as a person has it: in Chromium, on a running service with a simulated agent."""
