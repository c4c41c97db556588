namespace NanoLora.Data;

/// <summary>The methods of lists and mappings that change nothing. Those that would are refused by name, as the reference's sandbox does.</summary>
internal static class CollectionMethods
{
    public static TemplateValue? Find(MapValue map, string name) => name switch
    {
        "get" => new FunctionValue("get", (r, a) =>
        {
            var p = a.Bind(r, "get", "key!", "default");
            return map.Items.TryGetValue(JinjaOperators.Key(r, p[0]!), out var value) ? value : p[1] ?? TemplateValue.None;
        }),
        "keys" => new FunctionValue("keys", (r, a) =>
        {
            a.Bind(r, "keys");
            return r.List([.. map.Items.Keys], SequenceKind.Keys);
        }),
        "values" => new FunctionValue("values", (r, a) =>
        {
            a.Bind(r, "values");
            return r.List([.. map.Items.Values], SequenceKind.Values);
        }),
        "items" => new FunctionValue("items", (r, a) =>
        {
            a.Bind(r, "items");
            return r.List(Pairs(map), SequenceKind.Items);
        }),
        "copy" => new FunctionValue("copy", (r, a) =>
        {
            a.Bind(r, "copy");
            r.Step(map.Items.Count);
            return map;                                     // nothing can change either
        }),
        "clear" or "pop" or "popitem" or "setdefault" or "update" => Unsafe("dict", name),
        _ => null,
    };

    public static TemplateValue? Find(SequenceValue sequence, string name) => name switch
    {
        "index" => new FunctionValue("index", (r, a) =>
        {
            var p = a.Bind(r, "index", "value!", "start", "stop");
            var count = sequence.Items.Count;
            int start = JinjaArguments.Int(r, p[1], 0), stop = JinjaArguments.Int(r, p[2], count);
            if (start < 0) start = Math.Max(0, start + count);
            if (stop < 0) stop += count;
            for (var i = start; i < Math.Min(stop, count); i++) if (JinjaOperators.AreEqual(r, sequence.Items[i], p[0]!)) return new IntValue(i);
            throw r.Error($"{sequence.Type}.index(x): x not in {sequence.Type}");
        }),
        "count" => new FunctionValue("count", (r, a) =>
        {
            var p = a.Bind(r, "count", "value!");
            var count = 0;
            foreach (var item in sequence.Items) if (JinjaOperators.AreEqual(r, item, p[0]!)) count++;
            return new IntValue(count);
        }),
        "copy" when sequence.Kind == SequenceKind.List => new FunctionValue("copy", (r, a) =>
        {
            a.Bind(r, "copy");
            r.Step(sequence.Items.Count);
            return sequence;
        }),
        "append" or "clear" or "extend" or "insert" or "pop" or "remove" or "reverse" or "sort" when sequence.Kind == SequenceKind.List => Unsafe("list", name),
        _ => null,
    };

    /// <summary>A mapping's names and values, as pairs.</summary>
    public static List<TemplateValue> Pairs(MapValue map)
    {
        var pairs = new List<TemplateValue>(map.Items.Count);
        foreach (var (key, value) in map.Items) pairs.Add(new SequenceValue([key, value], SequenceKind.Tuple));
        return pairs;
    }

    private static UndefinedValue Unsafe(string type, string name) => new($"access to attribute '{name}' of '{type}' object is unsafe.");
}
