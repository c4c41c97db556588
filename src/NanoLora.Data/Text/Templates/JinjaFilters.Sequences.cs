namespace NanoLora.Data;

internal static partial class JinjaFilters
{
    private static SequenceValue Batch(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        var p = a.Bind(r, "batch", "linecount!", "fill_with");
        var (size, rows, row) = (JinjaArguments.Int(r, p[0], 0), new List<TemplateValue>(), new List<TemplateValue>());
        foreach (var item in JinjaOperators.Each(r, value))
        {
            r.Step();
            if (row.Count == size)
            {
                rows.Add(new SequenceValue(row, SequenceKind.List));
                row = [];
            }
            row.Add(item);
        }
        if (row.Count > 0)
        {
            if (JinjaArguments.OrNull(p[1]) is { } fill)
            {
                r.Step(Math.Max(0, size - row.Count));
                while (row.Count < size) row.Add(fill);
            }
            rows.Add(new SequenceValue(row, SequenceKind.List));
        }
        return new SequenceValue(rows, SequenceKind.Generator);
    }

    private static TemplateValue DictSort(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        var p = a.Bind(r, "dictsort", "case_sensitive", "by", "reverse");
        var by = p[1] is null ? "key" : JinjaArguments.Text(r, p[1]!);
        if (by is not ("key" or "value")) throw r.Error("You can only sort by either \"key\" or \"value\"");
        if (value is not MapValue map) throw r.Error(JinjaOperators.Problem(value) ?? $"'{value.Type}' object has no attribute 'items'");
        var pairs = CollectionMethods.Pairs(map);
        return r.List(Sorted(r, pairs, pair => Folded(((SequenceValue)pair).Items[by == "key" ? 0 : 1], JinjaArguments.Flag(p[0])), JinjaArguments.Flag(p[2])));
    }

    private static TemplateValue First(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        a.Bind(r, "first");
        foreach (var item in JinjaOperators.Each(r, value)) return item;
        return new UndefinedValue("No first item, sequence was empty.");
    }

    private static TemplateValue Last(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        a.Bind(r, "last");
        if (value is SequenceValue { HasLength: false } or LoopValue) throw r.Error($"'{value.Type}' object is not reversible");
        return JinjaOperators.ToList(r, value) is [.., var last] ? last : new UndefinedValue("No last item, sequence was empty.");
    }

    private static SequenceValue GroupBy(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        var p = a.Bind(r, "groupby", "attribute!", "default", "case_sensitive");
        var cased = JinjaArguments.Flag(p[2]);
        TemplateValue Key(TemplateValue item) => Attribute(r, item, p[0], p[1]);
        var groups = new List<TemplateValue>();
        List<TemplateValue>? group = null;
        TemplateValue? last = null;
        foreach (var item in Sorted(r, JinjaOperators.ToList(r, value), item => Folded(Key(item), cased), reverse: false))
        {
            var key = Folded(Key(item), cased);
            if (last is null || !JinjaOperators.AreEqual(r, last, key))
                groups.Add(new SequenceValue([Key(item), new SequenceValue(group = [], SequenceKind.List)], SequenceKind.Tuple) { IsGroup = true });
            group!.Add(item);
            last = key;
        }
        return new SequenceValue(groups, SequenceKind.List);
    }

    private static TemplateValue Items(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        a.Bind(r, "items");
        return value switch
        {
            UndefinedValue => new SequenceValue([], SequenceKind.Generator),
            MapValue map => r.List(CollectionMethods.Pairs(map), SequenceKind.Generator),
            _ => throw r.Error("Can only get item pairs from a mapping."),
        };
    }

    private static TextValue Join(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        var p = a.Bind(r, "join", "d", "attribute");
        var texts = new List<string>();
        foreach (var item in JinjaOperators.Each(r, value)) texts.Add(JinjaPrinter.Text(r, Attribute(r, item, p[1])));
        return new TextValue(TextMethods.Joined(r, p[0] is null ? "" : Text(r, p[0]!), texts));
    }

    private static IntValue Length(JinjaRenderer r, JinjaArguments a, string name, TemplateValue value)
    {
        a.Bind(r, name);
        return new IntValue(JinjaOperators.Length(r, value));
    }

    private static SequenceValue List(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        a.Bind(r, "list");
        return new SequenceValue(JinjaOperators.ToList(r, value), SequenceKind.List);
    }

    private static SequenceValue Map(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        var results = new List<TemplateValue>();
        if (!JinjaOperators.IsTrue(value)) return new SequenceValue(results, SequenceKind.Generator);      // none too
        if (a.Given.Count == 0 && a.Named.ContainsKey("attribute"))
        {
            var p = a.Bind(r, "map", "attribute", "default");
            foreach (var item in JinjaOperators.Each(r, value)) results.Add(Attribute(r, item, p[0], p[1]));
        }
        else
        {
            if (a.Given.Count == 0) throw r.Error("map requires a filter argument");
            var (name, rest) = (JinjaArguments.Text(r, a.Given[0]), new JinjaArguments(a.Given[1..], a.Named));
            foreach (var item in JinjaOperators.Each(r, value))
            {
                r.Enter();
                results.Add(Apply(r, name, item, rest));
                r.Leave();
            }
        }
        return new SequenceValue(results, SequenceKind.Generator);
    }

    private static TemplateValue Extreme(JinjaRenderer r, JinjaArguments a, string name, TemplateValue value)
    {
        var p = a.Bind(r, name, "case_sensitive", "attribute");
        TemplateValue? best = null, bestKey = null;
        foreach (var item in JinjaOperators.Each(r, value))
        {
            var key = Folded(Attribute(r, item, p[1]), JinjaArguments.Flag(p[0]));
            if (bestKey is not null && !(name == "min" ? JinjaOperators.Compare(r, key, bestKey) < 0 : JinjaOperators.Compare(r, key, bestKey, ">") == 1))
                continue;
            (best, bestKey) = (item, key);
        }
        return best ?? new UndefinedValue("No aggregated item, sequence was empty.");
    }

    private static SequenceValue Select(JinjaRenderer r, JinjaArguments a, string name, TemplateValue value)
    {
        var (byAttribute, wanted) = (name.EndsWith("attr", StringComparison.Ordinal), name.StartsWith("select", StringComparison.Ordinal));
        var at = byAttribute ? 1 : 0;
        if (a.Given.Count < at) throw r.Error("Missing parameter for attribute name");
        var chosen = new List<TemplateValue>();
        if (!JinjaOperators.IsTrue(value)) return new SequenceValue(chosen, SequenceKind.Generator);       // none too
        var test = a.Given.Count > at ? JinjaArguments.Text(r, a.Given[at]) : null;
        var rest = test is null ? a : new JinjaArguments(a.Given[(at + 1)..], a.Named);
        foreach (var item in JinjaOperators.Each(r, value))
        {
            r.Step();
            var tested = byAttribute ? Attribute(r, item, a.Given[0]) : item;
            if ((test is null ? JinjaOperators.IsTrue(tested) : JinjaTests.Holds(r, test, tested, rest)) == wanted) chosen.Add(item);
        }
        return new SequenceValue(chosen, SequenceKind.Generator);
    }

    private static TemplateValue Reverse(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        a.Bind(r, "reverse");
        if (value is TextValue text)
        {
            var characters = PyText.Characters(r.Charge(text.Value));
            characters.Reverse();
            return new TextValue(string.Concat(characters));
        }
        if (value is not (SequenceValue or MapValue or UndefinedValue or LoopValue)) throw r.Error("argument must be iterable");
        var items = JinjaOperators.ToList(r, value);
        items.Reverse();
        return new SequenceValue(items, value is SequenceValue { HasLength: true } or MapValue or UndefinedValue ? SequenceKind.Generator : SequenceKind.List);
    }

    // Into so many rows; the first ones take what does not divide.
    private static SequenceValue Slice(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        var p = a.Bind(r, "slice", "slices!", "fill_with");
        var (items, count, rows, at) = (JinjaOperators.ToList(r, value), JinjaArguments.Int(r, p[0], 0), new List<TemplateValue>(), 0);
        if (count == 0) throw r.Error("division by zero");
        r.Step(Math.Max(0, count));
        for (var i = 0; i < count; i++)
        {
            var size = items.Count / count + (i < items.Count % count ? 1 : 0);
            var row = items.GetRange(at, size);
            if (JinjaArguments.OrNull(p[1]) is { } fill && i >= items.Count % count) row.Add(fill);
            rows.Add(new SequenceValue(row, SequenceKind.List));
            at += size;
        }
        return new SequenceValue(rows, SequenceKind.Generator);
    }

    private static TemplateValue Sort(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        var p = a.Bind(r, "sort", "reverse", "case_sensitive", "attribute");
        // Several attributes, with commas between them, are compared one after the other.
        string?[] paths = JinjaArguments.OrNull(p[2]) is { } given ? Text(r, given).Split(',') : new string?[1];
        TemplateValue Key(TemplateValue item) => new SequenceValue(
            [.. paths.Select(path => Folded(path is null ? item : Attribute(r, item, new TextValue(path)), JinjaArguments.Flag(p[1])))], SequenceKind.List);
        return r.List(Sorted(r, JinjaOperators.ToList(r, value), Key, JinjaArguments.Flag(p[0])));
    }

    private static TemplateValue Sum(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        var p = a.Bind(r, "sum", "attribute", "start");
        var sum = p[1] ?? new IntValue(0);
        if (sum is TextValue) throw r.Error("sum() can't sum strings [use ''.join(seq) instead]");
        foreach (var item in JinjaOperators.Each(r, value)) sum = JinjaOperators.Binary(r, "+", sum, Attribute(r, item, p[0]));
        return sum;
    }

    private static SequenceValue Unique(JinjaRenderer r, JinjaArguments a, TemplateValue value)
    {
        var p = a.Bind(r, "unique", "case_sensitive", "attribute");
        var (seen, found) = (new HashSet<TemplateValue>(KeyComparer.Instance), new List<TemplateValue>());
        foreach (var item in JinjaOperators.Each(r, value))
        {
            r.Step();
            if (seen.Add(JinjaOperators.Key(r, Folded(Attribute(r, item, p[1]), JinjaArguments.Flag(p[0]))))) found.Add(item);
        }
        return new SequenceValue(found, SequenceKind.Generator);
    }

    /// <summary>A mapping's pairs in the order of their keys.</summary>
    public static List<SequenceValue> SortedByKey(JinjaRenderer r, MapValue map) =>
        Sorted(r, CollectionMethods.Pairs(map), static pair => ((SequenceValue)pair).Items[0], reverse: false).ConvertAll(static pair => (SequenceValue)pair);

    // Where a dotted path leads; the item itself without one. The fallback stands in at every step that leads nowhere.
    private static TemplateValue Attribute(JinjaRenderer r, TemplateValue item, TemplateValue? path, TemplateValue? fallback = null)
    {
        r.Step();
        if (JinjaArguments.OrNull(path) is null) return item;
        if (path is not TextValue dotted) return JinjaAccess.Item(r, item, path!);
        foreach (var part in r.Charge(dotted.Value).Split('.'))
        {
            r.Step();
            item = JinjaAccess.Step(r, item, part);
            if (item is UndefinedValue && JinjaArguments.OrNull(fallback) is { } instead) item = instead;
        }
        return item;
    }

    private static TemplateValue Folded(TemplateValue key, bool cased) => !cased && key is TextValue text ? new TextValue(PyText.Lower(text.Value)) : key;

    // A merge sort of our own: stable, and an error of a comparison comes out as it is. Reversed, equals keep their order too.
    private static List<TemplateValue> Sorted(JinjaRenderer r, List<TemplateValue> items, Func<TemplateValue, TemplateValue> key, bool reverse)
    {
        var from = items.ConvertAll(item => (Key: key(item), Item: item));
        var to = new List<(TemplateValue Key, TemplateValue Item)>(from);
        for (var width = 1; width < from.Count; width *= 2)
        {
            for (var start = 0; start < from.Count; start += 2 * width)
            {
                int middle = Math.Min(start + width, from.Count), end = Math.Min(start + 2 * width, from.Count);
                for (int left = start, right = middle, at = start; at < end; at++)
                {
                    var takesRight = left == middle || right < end
                        && (reverse ? JinjaOperators.Compare(r, from[left].Key, from[right].Key)
                            : JinjaOperators.Compare(r, from[right].Key, from[left].Key)) == -1;
                    to[at] = takesRight ? from[right++] : from[left++];
                }
            }
            (from, to) = (to, from);
        }
        return from.ConvertAll(static pair => pair.Item);
    }
}
