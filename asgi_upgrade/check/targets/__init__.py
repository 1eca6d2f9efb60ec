"""What is checked: a URL, or an application that is served first; its paths and its place in the source."""
