def leaks(table, column):
    splits = table.groupby(column)["split"].nunique()
    return set(splits.index[splits > 1])
