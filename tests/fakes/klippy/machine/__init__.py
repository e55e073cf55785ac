"""What the host drives: motion, heat, air, and the jobs that use them."""
