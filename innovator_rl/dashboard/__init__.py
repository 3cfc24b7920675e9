"""The dashboard: reads run directories, live or not, and serves the page that shows them."""
