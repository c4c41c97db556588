using System.Numerics;

namespace NanoLora.Data;

/// <summary>Truth, equality, order, membership and arithmetic of values, as in Python, errors' texts too.</summary>
internal static class JinjaOperators
{
    public static bool IsTrue(TemplateValue value) => value switch
    {
        NoneValue or UndefinedValue => false,
        BoolValue b => b.Value,
        IntValue i => !i.Value.IsZero,
        FloatValue f => f.Value != 0,
        TextValue t => t.Value.Length > 0,
        SequenceValue { HasLength: true } s => s.Items.Count > 0,
        MapValue m => m.Items.Count > 0,
        _ => true,
    };

    /// <summary>What is wrong with using the value at all; null if it is defined.</summary>
    public static string? Problem(TemplateValue value) => (value as UndefinedValue)?.Problem;

    public static bool AreEqual(JinjaRenderer r, TemplateValue x, TemplateValue y)
    {
        r.Step();
        switch (x, y)
        {
            case (TextValue a, TextValue b):
                if (a.Value.Length == b.Value.Length) r.Charge(a.Value);
                return a.Value == b.Value;
            case (NoneValue, NoneValue) or (UndefinedValue, UndefinedValue): return true;
            case (SequenceValue a, SequenceValue b) when a.Kind == b.Kind && a.Kind is not (SequenceKind.Generator or SequenceKind.Values):
                if (a.Items.Count != b.Items.Count) return false;
                return Within(r, () =>
                {
                    for (var i = 0; i < a.Items.Count; i++) if (!AreEqual(r, a.Items[i], b.Items[i])) return false;
                    return true;
                });
            case (MapValue a, MapValue b):
                if (a.Items.Count != b.Items.Count) return false;
                return Within(r, () =>
                {
                    foreach (var (key, value) in a.Items) if (!b.Items.TryGetValue(Key(r, key), out var other) || !AreEqual(r, value, other)) return false;
                    return true;
                });
            default: return ReferenceEquals(x, y) && x is not FloatValue || PyNumber.TryCompare(x, y, out var order) && order == 0;
        }
    }

    /// <summary>-1, 0 or 1; 2 where NaN is one of them. The symbol is what an error shows.</summary>
    public static int Compare(JinjaRenderer r, TemplateValue x, TemplateValue y, string symbol = "<")
    {
        r.Step();
        if (PyNumber.TryCompare(x, y, out var order)) return order;
        if (x is TextValue a && y is TextValue b)
        {
            r.Room(Math.Min(a.Value.Length, b.Value.Length));
            return Math.Sign(PyText.Compare(a.Value, b.Value));
        }
        if (x is SequenceValue { Kind: SequenceKind.List or SequenceKind.Tuple } p && y is SequenceValue q && p.Kind == q.Kind)
        {
            r.Enter();
            for (var i = 0; i < Math.Min(p.Items.Count, q.Items.Count); i++)
            {
                if (AreEqual(r, p.Items[i], q.Items[i])) continue;
                order = Compare(r, p.Items[i], q.Items[i], symbol);
                r.Leave();
                return order;
            }
            r.Leave();
            return p.Items.Count.CompareTo(q.Items.Count);
        }
        throw r.Error(Problem(x) ?? Problem(y) ?? $"'{symbol}' not supported between instances of '{x.Type}' and '{y.Type}'");
    }

    public static bool Contains(JinjaRenderer r, TemplateValue all, TemplateValue item)
    {
        switch (all)
        {
            case TextValue text:
                if (item is not TextValue part) throw r.Error($"'in <string>' requires string as left operand, not {item.Type}");
                r.Search(text.Value, part.Value);
                return text.Value.Contains(part.Value, StringComparison.Ordinal);
            case MapValue when item is SequenceValue { Kind: SequenceKind.Tuple or SequenceKind.Range }: return false;     // might be one, and here never is
            case MapValue map: return map.Items.ContainsKey(Key(r, item));
            default:
                foreach (var candidate in Each(r, all, "argument of type '{0}' is not a container or iterable")) if (AreEqual(r, candidate, item)) return true;
                return false;
        }
    }

    /// <summary>The value as a key of a mapping.</summary>
    public static TemplateValue Key(JinjaRenderer r, TemplateValue value)
    {
        if (value is TextValue text) r.Charge(text.Value);
        if (KeyComparer.IsKey(value)) return value;
        var tuple = value is SequenceValue { Kind: SequenceKind.Tuple };
        throw r.Error(tuple ? "a tuple as a key of a mapping is not supported" : $"unhashable type: '{value.Type}'");
    }

    /// <summary>The elements of what can be looped over. The problem's {0} is the type.</summary>
    public static IEnumerable<TemplateValue> Each(JinjaRenderer r, TemplateValue value, string problem = "'{0}' object is not iterable") => value switch
    {
        SequenceValue sequence => sequence.Each(),
        MapValue map => map.Items.Keys,
        TextValue text => PyText.Characters(r.Charge(text.Value)).Select(static TemplateValue (c) => new TextValue(c)),
        UndefinedValue => [],
        LoopValue loop => loop.Rest(),
        _ => throw r.Error(problem.Replace("{0}", value.Type, StringComparison.Ordinal)),
    };

    /// <summary>The same as a new list, counted.</summary>
    public static List<TemplateValue> ToList(JinjaRenderer r, TemplateValue value)
    {
        var list = new List<TemplateValue>();
        foreach (var item in Each(r, value))
        {
            r.Step();
            list.Add(item);
        }
        return list;
    }

    public static int Length(JinjaRenderer r, TemplateValue value) => value switch
    {
        TextValue text => PyText.Length(r.Charge(text.Value)),
        SequenceValue { HasLength: true } sequence => sequence.Items.Count,
        MapValue map => map.Items.Count,
        UndefinedValue => 0,
        LoopValue loop => loop.Length,
        _ => throw r.Error($"object of type '{value.Type}' has no len()"),
    };

    public static TemplateValue Binary(JinjaRenderer r, string symbol, TemplateValue x, TemplateValue y)
    {
        if ((Problem(x) ?? (symbol == "%" && x is TextValue ? null : Problem(y))) is { } problem) throw r.Error(problem);
        if (PyNumber.TryInt(x, out var a) && PyNumber.TryInt(y, out var b)) return Whole(r, symbol, a, b);
        if (PyNumber.IsNumber(x) && PyNumber.IsNumber(y)) return Real(r, symbol, PyNumber.ToDouble(x), PyNumber.ToDouble(y));
        switch (symbol)
        {
            case "+" when x is TextValue s:
                if (y is not TextValue t) throw r.Error($"can only concatenate str (not \"{y.Type}\") to str");
                r.Room((long)s.Value.Length + t.Value.Length);
                return new TextValue(s.Value + t.Value);
            case "+" when x is SequenceValue { Kind: SequenceKind.List or SequenceKind.Tuple } s:
                if (y is not SequenceValue u || u.Kind != s.Kind) throw r.Error($"can only concatenate {s.Type} (not \"{y.Type}\") to {s.Type}");
                r.Step(s.Items.Count + u.Items.Count);
                return new SequenceValue([.. s.Items, .. u.Items], s.Kind);
            case "*" when PyNumber.TryInt(y, out var times): return Repeat(r, x, times) ?? throw Unsupported();
            case "*" when PyNumber.TryInt(x, out var times): return Repeat(r, y, times) ?? throw Unsupported();
            case "%" when x is TextValue format: return r.Text(PercentFormat.Apply(r, format.Value, y));
            default: throw Unsupported();
        }

        ChatTemplateException Unsupported()
        {
            var shown = symbol == "**" ? "** or pow()" : symbol;
            return r.Error($"unsupported operand type(s) for {shown}: '{x.Type}' and '{y.Type}'");
        }
    }

    public static TemplateValue Negate(JinjaRenderer r, TemplateValue x, bool minus) => x switch
    {
        FloatValue f => minus ? new FloatValue(-f.Value) : f,
        _ when PyNumber.TryInt(x, out var whole) => new IntValue(minus ? -whole : whole),
        _ => throw r.Error(Problem(x) ?? $"bad operand type for unary {(minus ? "-" : "+")}: '{x.Type}'"),
    };

    /// <summary>A whole number of a size that is allowed.</summary>
    public static TemplateValue Whole(JinjaRenderer r, BigInteger number)
    {
        if (number.GetBitLength() > PyNumber.MostBits) throw r.Error("a whole number of more than 4,000 digits");
        return new IntValue(number);
    }

    private static bool Within(JinjaRenderer r, Func<bool> compare)
    {
        r.Enter();
        var result = compare();
        r.Leave();
        return result;
    }

    private static TemplateValue Whole(JinjaRenderer r, string symbol, BigInteger a, BigInteger b)
    {
        r.Step(1 + (a.GetBitLength() + b.GetBitLength()) / 64);
        if (b.IsZero && symbol is "/" or "//" or "%") throw r.Error("division by zero");
        switch (symbol)
        {
            case "+": return Whole(r, a + b);
            case "-": return Whole(r, a - b);
            case "*": return Whole(r, a * b);
            case "/":
                return new FloatValue((double)a / (double)b is var q && double.IsFinite(q) ? q
                : throw r.Error("integer division result too large for a float"));
            case "//": return new IntValue(PyNumber.FloorDivide(a, b));
            case "%": return new IntValue(a - PyNumber.FloorDivide(a, b) * b);
            default:
                if (b.Sign < 0) return a.IsZero ? throw r.Error("zero to a negative power") : Real(r, "**", (double)a, (double)b);
                if (a.IsZero || a.IsOne || a == BigInteger.MinusOne) return new IntValue(b.IsZero ? 1 : b.IsEven ? a * a : a);
                if (b > PyNumber.MostBits || (a.GetBitLength() - 1) * (long)b > PyNumber.MostBits) throw r.Error("a whole number of more than 4,000 digits");
                r.Step(a.GetBitLength() * (long)b / 8);
                return Whole(r, BigInteger.Pow(a, (int)b));
        }
    }

    private static FloatValue Real(JinjaRenderer r, string symbol, double a, double b)
    {
        if (b == 0 && symbol is "/" or "//" or "%") throw r.Error("division by zero");
        if (symbol == "**" && a == 0 && b < 0) throw r.Error("zero to a negative power");
        var result = symbol switch
        {
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            "/" => a / b,
            "//" => Math.Round((a - PyNumber.FloorRest(a, b)) / b),
            "%" => PyNumber.FloorRest(a, b),
            _ => Math.Pow(a, b),
        };
        if (symbol == "**" && double.IsFinite(a) && double.IsFinite(b) && !double.IsFinite(result))
            throw r.Error(a < 0 ? "a root of a negative number" : "(34, 'Numerical result out of range')");
        return new FloatValue(result);
    }

    private static TemplateValue? Repeat(JinjaRenderer r, TemplateValue x, BigInteger times)
    {
        var count = times.Sign <= 0 ? 0 : times > int.MaxValue ? int.MaxValue : (int)times;
        switch (x)
        {
            case TextValue text:
                r.Room((long)text.Value.Length * count);
                return new TextValue(new System.Text.StringBuilder().Insert(0, text.Value, text.Value.Length == 0 ? 0 : count).ToString());
            case SequenceValue { Kind: SequenceKind.List or SequenceKind.Tuple } sequence:
                r.Step((long)sequence.Items.Count * count);
                var items = new List<TemplateValue>();
                if (sequence.Items.Count > 0) for (var i = 0; i < count; i++) items.AddRange(sequence.Items);
                return new SequenceValue(items, sequence.Kind);
            default: return null;
        }
    }
}
