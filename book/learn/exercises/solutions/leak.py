def leaks(table, column):
    splits = {}
    for row in table:
        splits.setdefault(row[column], set()).add(row["split"])
    return {value for value, found in splits.items() if len(found) > 1}
