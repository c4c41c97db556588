using System.Globalization;
using System.Numerics;
using System.Text;
using System.Text.Json;

namespace NanoLora.Data;

/// <summary>Values as JSON, written as Python's json.dumps does, and read from JSON.</summary>
internal sealed class TemplateJson(JinjaRenderer r, bool asciiOnly, string? indent, string between, string colon, bool sorted)
{
    private const int MostDepth = 64, MostDigits = 4000;

    private readonly StringBuilder _result = new();

    public string Write(TemplateValue value)
    {
        Add(value, 0);
        return _result.ToString();
    }

    /// <summary>A value of JSON data.</summary>
    public static TemplateValue Read(JsonElement json, int depth = 0)
    {
        if (depth > MostDepth) throw new ArgumentException($"JSON data is nested more than {MostDepth} deep.", nameof(json));
        switch (json.ValueKind)
        {
            case JsonValueKind.Null: return TemplateValue.None;
            case JsonValueKind.True: return BoolValue.Of(true);
            case JsonValueKind.False: return BoolValue.Of(false);
            case JsonValueKind.String: return new TextValue(Text(() => json.GetString()!));
            case JsonValueKind.Number: return Number(json.GetRawText());
            case JsonValueKind.Array:
                var items = new List<TemplateValue>(json.GetArrayLength());
                foreach (var item in json.EnumerateArray()) items.Add(Read(item, depth + 1));
                return new SequenceValue(items, SequenceKind.List);
            case JsonValueKind.Object:
                var map = new MapValue();
                foreach (var field in json.EnumerateObject()) map.Items[new TextValue(Text(() => field.Name))] = Read(field.Value, depth + 1);
                return map;
            default: throw new ArgumentException("the JSON element is undefined; give one of a document.", nameof(json));
        }
    }

    private static string Text(Func<string> get)
    {
        try { return get(); }
        catch (InvalidOperationException e) { throw new ArgumentException("a text in the JSON data is no Unicode: half of a surrogate pair.", nameof(get), e); }
    }

    private static TemplateValue Number(string text)
    {
        if (text.Length > MostDigits)
            throw new ArgumentException($"a number in the JSON data has {text.Length} characters; at most {MostDigits} are read.", nameof(text));
        return text.AsSpan().IndexOfAny('.', 'e', 'E') >= 0 ? new FloatValue(double.Parse(text, CultureInfo.InvariantCulture))
            : new IntValue(BigInteger.Parse(text, CultureInfo.InvariantCulture));
    }

    private void Add(TemplateValue value, int level)
    {
        r.Enter();
        r.Fits(_result.Length);
        switch (value)
        {
            case NoneValue: _result.Append("null"); break;
            case BoolValue b: _result.Append(b.Value ? "true" : "false"); break;
            case IntValue i: _result.Append(JinjaPrinter.Whole(i.Value)); break;
            case FloatValue f: _result.Append(Float(f.Value)); break;
            case TextValue t: AddText(t.Value); break;
            case SequenceValue { Kind: SequenceKind.List or SequenceKind.Tuple } list:
                AddRow('[', ']', list.Items.Count, level, i => Add(list.Items[i], level + 1));
                break;
            case MapValue map: AddMap(map, level); break;
            default: throw r.Error($"Object of type {value.Type.Split('.')[^1]} is not JSON serializable");
        }
        r.Leave();
    }

    private void AddMap(MapValue map, int level)
    {
        List<KeyValuePair<TemplateValue, TemplateValue>> fields = [.. map.Items];
        if (sorted)
        {
            var keys = JinjaFilters.SortedByKey(r, map);
            fields = keys.ConvertAll(pair => KeyValuePair.Create(pair.Items[0], pair.Items[1]));
        }
        AddRow('{', '}', fields.Count, level, i =>
        {
            AddText(Key(fields[i].Key));
            _result.Append(colon);
            Add(fields[i].Value, level + 1);
        });
    }

    private string Key(TemplateValue key) => key switch
    {
        TextValue t => t.Value,
        BoolValue b => b.Value ? "true" : "false",
        IntValue i => JinjaPrinter.Whole(i.Value),
        FloatValue f => Float(f.Value),
        NoneValue => "null",
        _ => throw r.Error($"keys must be str, int, float, bool or None, not {key.Type}"),
    };

    private void AddRow(char open, char close, int count, int level, Action<int> add)
    {
        _result.Append(open);
        for (var i = 0; i < count; i++)
        {
            if (i > 0) _result.Append(between);
            NewLine(level + 1);
            add(i);
        }
        if (count > 0) NewLine(level);
        _result.Append(close);
    }

    private void NewLine(int level)
    {
        if (indent is null) return;
        r.Fits(_result.Length + (long)level * indent.Length);
        _result.Append('\n');
        for (var i = 0; i < level; i++) _result.Append(indent);
    }

    private void AddText(string text)
    {
        r.Charge(text);
        _result.Append('"');
        foreach (var c in text)
        {
            var escape = c switch { '"' => "\\\"", '\\' => "\\\\", '\n' => "\\n", '\r' => "\\r", '\t' => "\\t", '\b' => "\\b", '\f' => "\\f", _ => null };
            if (escape is not null) _result.Append(escape);
            else if (c < ' ' || asciiOnly && c > '~') _result.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            else _result.Append(c);
        }
        _result.Append('"');
    }

    private static string Float(double x) => double.IsNaN(x) ? "NaN" : double.IsInfinity(x) ? x > 0 ? "Infinity" : "-Infinity" : PyNumber.Text(x);
}
