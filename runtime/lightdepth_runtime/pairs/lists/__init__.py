"""Pair lists: text files that name colour and depth, whoever wrote them."""
