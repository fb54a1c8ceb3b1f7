"""The case study's method, exactly as reported, beside the same questions asked so that answers can be believed.

Each figure stands in three columns: reported (by the case study, of its own shop), reproduced (its method on these
data), honest. What is reproduced describes all the data, as the case study does; what is honest is learnt at a
training cutoff and judged at a validation cutoff, before the sealed window.
"""
