"""The paper's figures, one a file: Figure 3 (quality), 4 (dynamics) and 8 (front)."""
