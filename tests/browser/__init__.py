"""The pages of the dashboard in a real browser, on a real server beside a real daemon."""
