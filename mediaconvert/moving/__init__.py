"""From one machine to many: copies an embedded installation into one that servers hold.

First the blobs under their own names, each read back and compared; then the rows, compared
too; then the analytics. Interrupted, it goes on where it was. What the source holds is
not changed; a finished move leaves a note beside it.
"""
