"""The functions behind `diqa_utils.distortions`, one module for each family.

A distortion takes a uint8 picture (H, W, 3), a level from 1 to 5 and a random generator, and
returns a new uint8 picture of the same shape. Its five strengths are constants of its module. They
are chosen for this library, by eye and by SSIM and CIEDE2000 on the sample photographs, so that the
levels lead from hardly visible to severe. KADID-10k's own programs have others.
"""
