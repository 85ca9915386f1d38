"""What the contenders have to do: each kind of work in a file of its own."""
