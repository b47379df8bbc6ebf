"""Result tables to releasable tables: what may be shown, to whom, and what is withheld with it."""
