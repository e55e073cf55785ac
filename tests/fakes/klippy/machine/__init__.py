"""What the host controls: motion, heaters, fans, and the jobs that use them."""
