"""What a textbook says, in as few lines: truth that faster code is held against."""


def edit_distance(one: str, two: str) -> int:
    """The fewest symbols to change, put in or take out."""
    row = list(range(len(two) + 1))
    for i, a in enumerate(one, 1):
        last, row[0] = row[0], i
        for j, b in enumerate(two, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (a != b))
    return row[-1]
