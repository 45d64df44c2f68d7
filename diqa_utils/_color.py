"""What grey is made of."""

#: ITU-R BT.601 weights of red, green and blue.
LUMA_WEIGHTS = (0.299, 0.587, 0.114)
