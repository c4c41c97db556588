using System.Numerics;

namespace NanoLora.Data;

/// <summary>What x.name, x[index] and x[start:stop:step] give. Only values can be reached, and the methods that are written down for them here.</summary>
internal static class JinjaAccess
{
    public static TemplateValue Attribute(JinjaRenderer r, TemplateValue value, string name) =>
        Own(r, value, name) ?? Element(value, name) ?? Missing(value, name);

    public static TemplateValue Item(JinjaRenderer r, TemplateValue value, TemplateValue index)
    {
        if (JinjaOperators.Problem(value) is { } problem) throw r.Error(problem);
        if (value is MapValue map)
        {
            if (KeyComparer.IsKey(index) && JinjaOperators.Key(r, index) is var key && map.Items.TryGetValue(key, out var found)) return found;
        }
        else if (PyNumber.TryInt(index, out var number) && At(r, value, number) is { } element) return element;
        if (index is not TextValue name) return new UndefinedValue($"{Owner(value)} has no element {JinjaPrinter.Repr(r, index)}");
        return Own(r, value, name.Value) ?? Missing(value, name.Value);
    }

    /// <summary>One step of a dotted path of a filter: a number is an index.</summary>
    public static TemplateValue Step(JinjaRenderer r, TemplateValue value, string part) =>
        Item(r, value, part.Length is > 0 and < 19 && part.AsSpan().IndexOfAnyExceptInRange('0', '9') < 0
            ? new IntValue(long.Parse(part, System.Globalization.CultureInfo.InvariantCulture)) : new TextValue(part));

    public static TemplateValue Slice(JinjaRenderer r, TemplateValue value, TemplateValue? start, TemplateValue? stop, TemplateValue? step)
    {
        if (JinjaOperators.Problem(value) is { } problem) throw r.Error(problem);
        if (value is not (TextValue or SequenceValue { HasElements: true })) throw r.Error($"'{value.Type}' object is not subscriptable by a slice");
        List<string>? characters = value is TextValue text ? PyText.Characters(r.Charge(text.Value)) : null;
        var count = characters?.Count ?? ((SequenceValue)value).Items.Count;
        var by = step is null ? 1 : Whole(r, step);
        if (by.IsZero) throw r.Error("slice step cannot be zero");
        // Python clips both ends to the row, seen in the direction of the step.
        var back = by.Sign < 0;
        BigInteger lowest = back ? -1 : 0, highest = back ? count - 1 : count;
        var from = start is null ? back ? highest : lowest : Clip(Whole(r, start));
        var to = stop is null ? back ? lowest : highest : Clip(Whole(r, stop));
        var chosen = new List<TemplateValue>();
        var joined = new System.Text.StringBuilder();
        for (; back ? from > to : from < to; from += by)
        {
            r.Step();
            if (characters is not null) joined.Append(characters[(int)from]);
            else chosen.Add(((SequenceValue)value).Items[(int)from]);
        }
        return characters is not null ? r.Text(joined.ToString()) : new SequenceValue(chosen, ((SequenceValue)value).Kind);

        BigInteger Clip(BigInteger at) => BigInteger.Min(highest, BigInteger.Max(lowest, at.Sign < 0 ? at + count : at));
    }

    private static BigInteger Whole(JinjaRenderer r, TemplateValue value) => PyNumber.TryInt(value, out var number) ? number
        : throw r.Error(JinjaOperators.Problem(value) ?? "slice indices must be integers or None or have an __index__ method");

    private static TemplateValue? At(JinjaRenderer r, TemplateValue value, BigInteger index)
    {
        if (value is SequenceValue { HasElements: true } sequence)
        {
            var at = index.Sign < 0 ? index + sequence.Items.Count : index;
            return at.Sign >= 0 && at < sequence.Items.Count ? sequence.Items[(int)at] : null;
        }
        if (value is not TextValue text) return null;
        if (PyText.Length(r.Charge(text.Value)) == text.Value.Length)             // one character, one UTF-16 unit
        {
            index = index.Sign < 0 ? index + text.Value.Length : index;
            return index.Sign >= 0 && index < text.Value.Length ? new TextValue(text.Value[(int)index].ToString()) : null;
        }
        var characters = PyText.Characters(text.Value);
        index = index.Sign < 0 ? index + characters.Count : index;
        return index.Sign >= 0 && index < characters.Count ? new TextValue(characters[(int)index]) : null;
    }

    // What the value itself has; null if there is nothing of that name.
    private static TemplateValue? Own(JinjaRenderer r, TemplateValue value, string name) => value switch
    {
        UndefinedValue undefined => throw r.Error(undefined.Problem),
        TextValue text => TextMethods.Find(text.Value, name),
        MapValue map => CollectionMethods.Find(map, name),
        SequenceValue { IsGroup: true } group when name is "grouper" or "list" => group.Items[name == "list" ? 1 : 0],
        SequenceValue { HasElements: true } sequence => CollectionMethods.Find(sequence, name),
        NamespaceValue space => space.Fields.GetValueOrDefault(name),
        LoopValue loop => loop.Attribute(name),
        FunctionValue function => function.Attribute?.Invoke(name),
        _ => null,
    };

    private static TemplateValue? Element(TemplateValue value, string name) => value is MapValue map ? map.Find(name) : null;

    private static UndefinedValue Missing(TemplateValue value, string name) => new($"{PyText.Repr(Owner(value))} has no attribute ", name);

    private static string Owner(TemplateValue value) => value is NoneValue ? "None" : $"{value.Type} object";
}
