"""Where models come from: a hub, a URL, the wheel of a package, a path; model files alone."""
