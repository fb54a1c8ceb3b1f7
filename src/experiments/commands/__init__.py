"""The command line. The only room that imports Hydra, and the one that joins the others."""
