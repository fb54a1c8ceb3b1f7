"""The case study's method, exactly as reported, beside honest answers to the same questions.

Each figure has three columns: reported (by the case study, for its own shop), reproduced (its method on these data) and
honest. Reproduced figures describe all the data, as the case study does. Honest figures are learnt at a training cutoff
and evaluated at a validation cutoff, before the sealed window.
"""
