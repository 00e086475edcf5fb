"""What only the book needs: tables, figures, explorers, pages."""
