"""Hospital tables to MEDS events: stores, declarations, rows, and the engines that process them."""
