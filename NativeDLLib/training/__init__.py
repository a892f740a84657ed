"""Training: from images and labels to a network in three formats, with its registry entry and its evaluation.

`inference.preprocess` puts the images on the network's grid, and the stages of a user's run judge the result. A patch
is drawn by the seed and its number alone: neither the number of threads nor an interruption changes the training.
"""
