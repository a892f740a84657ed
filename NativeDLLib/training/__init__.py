"""Training: from images and labels to a network in three formats, with its registry entry and what it is worth.

Training sees what inference sees: images are put on the network's grid by `inference.preprocess`, and the result is
judged by the stages that a user's series goes through. A patch is drawn by the seed and its number alone, so that
neither the number of threads nor an interruption changes what is learnt.
"""
