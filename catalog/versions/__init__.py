"""The verbs of products, plans and their versions: from a draft to prices that never change again."""
