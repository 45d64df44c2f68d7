"""What the library needs besides its subject: checks, files, TensorFlow's switches."""
