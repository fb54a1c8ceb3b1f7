"""What customers are like and do, described: tiers, stages, hypotheses, personas. Nothing here becomes a champion."""
