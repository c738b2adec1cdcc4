# SPDX-License-Identifier: Apache-2.0
"""What the bench prints."""


def amount(ns):
    """CPU time in a unit that suits it."""
    return f"{ns / 1e3:9.2f} us" if ns < 1e6 else f"{ns / 1e6:9.2f} ms"


def verdict(row):
    return "" if row["met"] is None else "met" if row["met"] else "NOT MET"


def absences(row):
    for name, why in row["absent"].items():
        print(f"{name:12} {why}")


def print_row(row):
    print(f"\n{row['title']}\n")
    head = (f"{'':12} {'CPU/' + row['unit']:>13} {'ratio':>6} {'(range)':>13} {'target':>6} {'':>7} {'per second':>11} "
            f"{'busy':>5} {'p50':>9} {'p99':>9}")
    print(head + "\n" + "-" * len(head))
    for name, one in row["table"].items():
        spread = f"({one['ratio_low']:.2f}-{one['ratio_high']:.2f})"
        target = "" if one["target"] is None else f"{one['target']:.2f}"
        print(f"{name:12} {amount(one['cpu_ns']):>13} {one['ratio']:6.2f} {spread:>13} {target:>6} {verdict(one):>7} "
              f"{one['rate']:11.1f} {one['busy']:5.0%} {one['p50'] * 1e3:6.2f} ms {one['p99'] * 1e3:6.2f} ms")
    absences(row)


def print_numbers(row):
    print(f"\n{row['title']}\n")
    for name, one in row["numbers"].items():
        target = "" if one["target"] is None else f"{one['target']:g}"
        above = f"{one['above']:9.0f} above the bare one" if one.get("above", one["value"]) != one["value"] else ""
        print(f"{name:12} {one['value']:9.2f} {above} {target:>6} {verdict(one)}")
    absences(row)


def cell(one, text):
    if not one:
        return "–"
    if one["target"] is None:
        return text
    return f"{'**' + text + '**' if one['met'] else text} ({one['target']:g}{'' if one['met'] else ', missed'})"


def print_summary(report):
    """One table for docs/BENCH.md: who met a target is bold, the target stands behind."""
    names = ("weir", "weir-uring", "nginx", "haproxy")
    print("\n| row | bare forwarder | " + " | ".join(names) + " |\n|---|---:|" + "---:|" * len(names))
    for row in report["rows"].values():
        table = row.get("table") or {}
        if table:
            base, one = next(iter(table.items()))
            cells = [f"{amount(one['cpu_ns']).strip()} ({base[5:]})"]
            cells += [cell(table.get(name), f"{table[name]['ratio']:.2f}" if name in table else "") for name in names]
        else:
            numbers = row.get("numbers", {})
            bare = [f"{one['value']:.0f} ({name[5:]})" for name, one in numbers.items() if name.startswith("bare-")]
            digits = 2 if row["unit"] == "ratio" else 0
            cells = [bare[0] if bare else ""]
            cells += [cell(numbers.get(name), f"{numbers[name]['value']:.{digits}f}" if name in numbers else "")
                      for name in names]
        print(f"| {row['title']} | " + " | ".join(cells) + " |")
