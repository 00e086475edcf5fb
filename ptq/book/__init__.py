"""What only the book needs: what chapters show, and its pages."""
