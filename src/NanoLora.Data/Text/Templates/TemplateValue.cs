using System.Numerics;
using System.Text.Json;

namespace NanoLora.Data;

/// <summary>
/// What a template works with: none, a truth value, a number, a text, a list or a mapping, and nothing else. A template sees no object of the program.
/// Values do not change.
/// </summary>
public abstract class TemplateValue
{
    private protected TemplateValue() { }

    /// <summary>None, as null in JSON.</summary>
    public static TemplateValue None => NoneValue.Instance;

    /// <summary>The value of JSON data, read from a text.</summary>
    /// <exception cref="ArgumentException">It is no JSON, nested more than 64 deep, or holds a text or number that cannot be taken over.</exception>
    public static TemplateValue Parse(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        try
        {
            using var document = JsonDocument.Parse(json);
            return From(document.RootElement);
        }
        catch (JsonException e)
        {
            throw new ArgumentException($"this is no JSON: {e.Message}", nameof(json), e);
        }
    }

    /// <summary>The value of JSON data. Of a field that is given twice, the last counts.</summary>
    /// <exception cref="ArgumentException">It holds a text that is no Unicode, a number of more than 4,000 digits, or is undefined.</exception>
    public static TemplateValue From(JsonElement json) => TemplateJson.Read(json);

    /// <summary>A text; none if it is null.</summary>
    public static TemplateValue From(string? text) => text is null ? None : new TextValue(text);

    /// <summary>True or false.</summary>
    public static TemplateValue From(bool value) => BoolValue.Of(value);

    /// <summary>A whole number.</summary>
    public static TemplateValue From(long value) => new IntValue(value);

    /// <summary>A number.</summary>
    public static TemplateValue From(double value) => new FloatValue(value);

    /// <summary>A list.</summary>
    public static TemplateValue List(IEnumerable<TemplateValue> items)
    {
        ArgumentNullException.ThrowIfNull(items);
        return new SequenceValue([.. items.Select(static i => i ?? None)], SequenceKind.List);
    }

    /// <summary>A mapping; its order is kept, and of a name that is given twice the last value counts.</summary>
    public static TemplateValue Map(IEnumerable<KeyValuePair<string, TemplateValue>> fields)
    {
        ArgumentNullException.ThrowIfNull(fields);
        var map = new MapValue();
        foreach (var (name, value) in fields) map.Items[new TextValue(name)] = value ?? None;
        return map;
    }

    /// <summary>A text.</summary>
    public static implicit operator TemplateValue(string? text) => From(text);

    /// <summary>True or false.</summary>
    public static implicit operator TemplateValue(bool value) => From(value);

    /// <summary>A whole number.</summary>
    public static implicit operator TemplateValue(long value) => From(value);

    /// <summary>A number.</summary>
    public static implicit operator TemplateValue(double value) => From(value);

    /// <summary>Python's name of the type, for errors.</summary>
    internal abstract string Type { get; }
}

internal sealed class NoneValue : TemplateValue
{
    public static readonly NoneValue Instance = new();

    internal override string Type => "NoneType";
}

/// <summary>What a name or element that is not there gives: empty where it is printed or looped over, an error where anything is asked of it.</summary>
internal sealed class UndefinedValue(string before, string? name = null, string after = "") : TemplateValue
{
    private const int MostShown = 100;

    // Put together only where somebody asks: most are never complained about.
    public string Problem => name is null ? before : before + PyText.Repr(name.Length > MostShown ? name[..MostShown] + "…" : name) + after;

    internal override string Type => "Undefined";
}

internal sealed class BoolValue : TemplateValue
{
    private static readonly BoolValue s_true = new(true), s_false = new(false);

    private BoolValue(bool value) => Value = value;

    public bool Value { get; }

    internal override string Type => "bool";

    public static BoolValue Of(bool value) => value ? s_true : s_false;
}

/// <summary>A whole number of any size, up to what Python would print.</summary>
internal sealed class IntValue(BigInteger value) : TemplateValue
{
    public BigInteger Value { get; } = value;

    internal override string Type => "int";
}

internal sealed class FloatValue(double value) : TemplateValue
{
    public double Value { get; } = value;

    internal override string Type => "float";
}

internal sealed class TextValue(string value) : TemplateValue
{
    public string Value { get; } = value;

    internal override string Type => "str";
}

internal enum SequenceKind { List, Tuple, Range, Keys, Values, Items, Generator }

/// <summary>Values in a row. A generator gives each only once.</summary>
internal sealed class SequenceValue(List<TemplateValue> items, SequenceKind kind) : TemplateValue
{
    private int _given;

    public List<TemplateValue> Items { get; } = items;

    public SequenceKind Kind { get; } = kind;

    /// <summary>Whether it is what groupby gives: a pair of <c>grouper</c> and <c>list</c>.</summary>
    public bool IsGroup { get; init; }

    public bool HasLength => Kind != SequenceKind.Generator;

    public bool HasElements => Kind is SequenceKind.List or SequenceKind.Tuple or SequenceKind.Range;

    internal override string Type => Kind switch
    {
        SequenceKind.List => "list",
        SequenceKind.Tuple => "tuple",
        SequenceKind.Range => "range",
        SequenceKind.Keys => "dict_keys",
        SequenceKind.Values => "dict_values",
        SequenceKind.Items => "dict_items",
        _ => "generator",
    };

    public IEnumerable<TemplateValue> Each()
    {
        if (Kind == SequenceKind.Generator) while (_given < Items.Count) yield return Items[_given++];
        else foreach (var item in Items) yield return item;
    }
}

/// <summary>Names or numbers with values, in the order in which they came.</summary>
internal sealed class MapValue : TemplateValue
{
    public OrderedDictionary<TemplateValue, TemplateValue> Items { get; } = new(KeyComparer.Instance);

    internal override string Type => "dict";

    public TemplateValue? Find(string name) => Items.TryGetValue(new TextValue(name), out var value) ? value : null;
}

/// <summary>What <c>namespace()</c> makes: the one thing that a template can change.</summary>
internal sealed class NamespaceValue : TemplateValue
{
    public Dictionary<string, TemplateValue> Fields { get; } = new(StringComparer.Ordinal);

    internal override string Type => "jinja2.utils.Namespace";
}

/// <summary>What can be called: a macro, a method of a value, a function that every template has.</summary>
internal sealed class FunctionValue(string name, Func<JinjaRenderer, JinjaArguments, TemplateValue> call) : TemplateValue
{
    public string Name { get; } = name;

    public Func<JinjaRenderer, JinjaArguments, TemplateValue> Call { get; } = call;

    /// <summary>What else it has, such as a macro's name.</summary>
    public Func<string, TemplateValue?>? Attribute { get; init; }

    internal override string Type => "function";
}

/// <summary>Keys of a mapping: none, truth values, numbers (1, 1.0 and true are one key) and texts.</summary>
internal sealed class KeyComparer : IEqualityComparer<TemplateValue>
{
    public static readonly KeyComparer Instance = new();

    public static bool IsKey(TemplateValue value) => value is NoneValue or BoolValue or IntValue or FloatValue or TextValue or UndefinedValue;

    public bool Equals(TemplateValue? x, TemplateValue? y) => (x, y) switch
    {
        (TextValue a, TextValue b) => a.Value == b.Value,
        (NoneValue, NoneValue) or (UndefinedValue, UndefinedValue) => true,
        _ => PyNumber.TryCompare(x!, y!, out var order) && order == 0,
    };

    public int GetHashCode(TemplateValue value) => value switch
    {
        TextValue text => text.Value.GetHashCode(StringComparison.Ordinal),
        IntValue i when (double)i.Value is var d && (!double.IsFinite(d) || new BigInteger(d) != i.Value) => i.Value.GetHashCode(),
        BoolValue or IntValue or FloatValue => Hash(PyNumber.ToDouble(value)),
        _ => 0,
    };

    // Not the double's own hash: numbers that share it can be written down, and would make a mapping slow. -0 is 0.
    private static int Hash(double number)
    {
        var bits = BitConverter.DoubleToInt64Bits(number + 0.0);
        return HashCode.Combine((int)bits, (int)(bits >> 32));
    }
}
