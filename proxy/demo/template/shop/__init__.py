"""Leaf & Kettle: one module per thing a visitor can do."""
