"""How a result is judged: photos with known truth, metrics, and the data sets' own rules."""
