namespace NanoLora.Data;

/// <summary>A part of a template that has a value.</summary>
internal abstract class JinjaExpression(int line)
{
    public int Line { get; } = line;

    /// <summary>The value; called through <see cref="JinjaRenderer.Evaluate"/>, which counts.</summary>
    public abstract TemplateValue Evaluate(JinjaRenderer r);
}

internal sealed class ConstantExpression(int line, TemplateValue value) : JinjaExpression(line)
{
    public TemplateValue Value { get; } = value;

    public override TemplateValue Evaluate(JinjaRenderer r) => Value;
}

internal sealed class NameExpression(int line, string name) : JinjaExpression(line)
{
    public string Name { get; } = name;

    public override TemplateValue Evaluate(JinjaRenderer r) =>
        r.Scope.Find(Name) ?? JinjaGlobals.Find(Name) ?? new UndefinedValue("", Name, " is undefined");
}

internal sealed class ListExpression(int line, List<JinjaExpression> items, bool isTuple) : JinjaExpression(line)
{
    public List<JinjaExpression> Items { get; } = items;

    public bool IsTuple { get; } = isTuple;

    public override TemplateValue Evaluate(JinjaRenderer r)
    {
        var values = new List<TemplateValue>(Items.Count);
        foreach (var item in Items) values.Add(r.Evaluate(item));
        return new SequenceValue(values, IsTuple ? SequenceKind.Tuple : SequenceKind.List);
    }
}

internal sealed class MapExpression(int line, List<(JinjaExpression Key, JinjaExpression Value)> items) : JinjaExpression(line)
{
    public override TemplateValue Evaluate(JinjaRenderer r)
    {
        var map = new MapValue();
        foreach (var (key, value) in items)
        {
            var name = JinjaOperators.Key(r, r.Evaluate(key));
            map.Items[name] = r.Evaluate(value);
        }
        return map;
    }
}

/// <summary>x.name: what the value itself has, such as a method, comes before its elements.</summary>
internal sealed class AttributeExpression(int line, JinjaExpression owner, string name) : JinjaExpression(line)
{
    public override TemplateValue Evaluate(JinjaRenderer r) => JinjaAccess.Attribute(r, r.Evaluate(owner), name);
}

/// <summary>x[index]: elements come before what the value itself has.</summary>
internal sealed class IndexExpression(int line, JinjaExpression owner, JinjaExpression index) : JinjaExpression(line)
{
    public override TemplateValue Evaluate(JinjaRenderer r)
    {
        var value = r.Evaluate(owner);
        return JinjaAccess.Item(r, value, r.Evaluate(index));
    }
}

/// <summary>x[start:stop:step].</summary>
internal sealed class SliceExpression(int line, JinjaExpression owner, JinjaExpression? start, JinjaExpression? stop, JinjaExpression? step)
    : JinjaExpression(line)
{
    public override TemplateValue Evaluate(JinjaRenderer r)
    {
        var value = r.Evaluate(owner);
        return JinjaAccess.Slice(r, value, Part(r, start), Part(r, stop), Part(r, step));
    }

    private static TemplateValue? Part(JinjaRenderer r, JinjaExpression? part) => part is null ? null : JinjaArguments.OrNull(r.Evaluate(part));
}

/// <summary>The arguments that a call, a filter or a test writes down.</summary>
internal sealed record JinjaCallArguments(
    List<JinjaExpression> Given, List<(string Name, JinjaExpression Value)> Named, JinjaExpression? Rest, JinjaExpression? NamedRest)
{
    public static readonly JinjaCallArguments None = new([], [], null, null);

    public JinjaArguments Evaluate(JinjaRenderer r)
    {
        if (Given.Count == 0 && Named.Count == 0 && Rest is null && NamedRest is null) return JinjaArguments.Empty;
        var given = new List<TemplateValue>(Given.Count);
        foreach (var argument in Given) given.Add(r.Evaluate(argument));
        if (Rest is not null) given.AddRange(JinjaOperators.ToList(r, r.Evaluate(Rest)));
        var named = new OrderedDictionary<string, TemplateValue>(StringComparer.Ordinal);
        foreach (var (name, value) in Named) Add(r, named, name, r.Evaluate(value));
        if (NamedRest is null) return new JinjaArguments(given, named);
        if (r.Evaluate(NamedRest) is not MapValue map) throw r.Error("the argument after ** must be a mapping");
        foreach (var (key, value) in map.Items)
        {
            r.Step();
            Add(r, named, key is TextValue name ? r.Charge(name.Value) : throw r.Error("keywords must be strings"), value);
        }
        return new JinjaArguments(given, named);
    }

    private static void Add(JinjaRenderer r, OrderedDictionary<string, TemplateValue> named, string name, TemplateValue value)
    {
        if (!named.TryAdd(name, value)) throw r.Error($"got multiple values for keyword argument '{name}'");
    }
}

internal sealed class CallExpression(int line, JinjaExpression function, JinjaCallArguments arguments) : JinjaExpression(line)
{
    public override TemplateValue Evaluate(JinjaRenderer r)
    {
        var value = r.Evaluate(function);
        return Call(r, value, arguments.Evaluate(r));
    }

    /// <summary>The same with one more named argument.</summary>
    public TemplateValue Evaluate(JinjaRenderer r, string name, TemplateValue extra)
    {
        var value = r.Evaluate(function);
        var given = arguments.Evaluate(r);
        var named = new OrderedDictionary<string, TemplateValue>(given.Named, StringComparer.Ordinal) { [name] = extra };
        return Call(r, value, new JinjaArguments(given.Given, named));
    }

    private static TemplateValue Call(JinjaRenderer r, TemplateValue value, JinjaArguments arguments) => value switch
    {
        FunctionValue f => f.Call(r, arguments),
        LoopValue loop => loop.Recurse(r, arguments),
        _ => throw r.Error(JinjaOperators.Problem(value) ?? $"'{value.Type}' object is not callable"),
    };
}

/// <summary>value | name(arguments). Without a value where a block is filtered.</summary>
internal sealed class FilterExpression(int line, JinjaExpression? input, string name, JinjaCallArguments arguments) : JinjaExpression(line)
{
    /// <summary>Whether the first of the filters in a row has a value to work on, and is not for a block.</summary>
    public bool HasValue { get; } = input is FilterExpression before ? before.HasValue : input is not null;

    public override TemplateValue Evaluate(JinjaRenderer r) => Apply(r, input is null ? throw r.Error("a filter without a value") : r.Evaluate(input));

    /// <summary>The filters in a row of which this is the last, on the text of a block.</summary>
    public TemplateValue ApplyAll(JinjaRenderer r, TemplateValue block)
    {
        r.Enter();
        var value = Apply(r, input is FilterExpression before ? before.ApplyAll(r, block) : block);
        r.Leave();
        return value;
    }

    private TemplateValue Apply(JinjaRenderer r, TemplateValue value) => JinjaFilters.Apply(r, name, value, arguments.Evaluate(r));
}

internal sealed class TestExpression(int line, JinjaExpression input, string name, JinjaCallArguments arguments) : JinjaExpression(line)
{
    public override TemplateValue Evaluate(JinjaRenderer r)
    {
        var value = r.Evaluate(input);
        return BoolValue.Of(JinjaTests.Holds(r, name, value, arguments.Evaluate(r)));
    }
}

internal sealed class NotExpression(int line, JinjaExpression operand) : JinjaExpression(line)
{
    public override TemplateValue Evaluate(JinjaRenderer r) => BoolValue.Of(!JinjaOperators.IsTrue(r.Evaluate(operand)));
}

/// <summary>and, or: the operand that decides, and no truth value.</summary>
internal sealed class LogicExpression(int line, JinjaExpression left, JinjaExpression right, bool isAnd) : JinjaExpression(line)
{
    public override TemplateValue Evaluate(JinjaRenderer r)
    {
        var value = r.Evaluate(left);
        return JinjaOperators.IsTrue(value) == isAnd ? r.Evaluate(right) : value;
    }
}

internal sealed class ConditionExpression(int line, JinjaExpression test, JinjaExpression then, JinjaExpression? otherwise) : JinjaExpression(line)
{
    public override TemplateValue Evaluate(JinjaRenderer r) => JinjaOperators.IsTrue(r.Evaluate(test)) ? r.Evaluate(then)
        : otherwise is not null ? r.Evaluate(otherwise)
        : new UndefinedValue($"the inline if-expression on line {Line} evaluated to false and no else section was defined.");
}

internal sealed class UnaryExpression(int line, JinjaExpression operand, bool minus) : JinjaExpression(line)
{
    public override TemplateValue Evaluate(JinjaRenderer r) => JinjaOperators.Negate(r, r.Evaluate(operand), minus);
}

internal sealed class BinaryExpression(int line, string symbol, JinjaExpression left, JinjaExpression right) : JinjaExpression(line)
{
    public override TemplateValue Evaluate(JinjaRenderer r)
    {
        var x = r.Evaluate(left);
        return JinjaOperators.Binary(r, symbol, x, r.Evaluate(right));
    }
}

/// <summary>a ~ b ~ c: everything as a text, one behind the other.</summary>
internal sealed class ConcatExpression(int line, List<JinjaExpression> parts) : JinjaExpression(line)
{
    public override TemplateValue Evaluate(JinjaRenderer r)
    {
        var texts = new string[parts.Count];
        long length = 0;
        for (var i = 0; i < texts.Length; i++)
        {
            texts[i] = JinjaPrinter.Text(r, r.Evaluate(parts[i]));
            length += texts[i].Length;
        }
        r.Room(length);
        return new TextValue(string.Concat(texts));
    }
}

/// <summary>a &lt; b &lt;= c …: true if each pair compares so; what is behind the first that does not is not looked at.</summary>
internal sealed class CompareExpression(int line, JinjaExpression first, List<(string Symbol, JinjaExpression Operand)> rest) : JinjaExpression(line)
{
    public override TemplateValue Evaluate(JinjaRenderer r)
    {
        var left = r.Evaluate(first);
        foreach (var (symbol, operand) in rest)
        {
            var right = r.Evaluate(operand);
            if (!Holds(r, symbol, left, right)) return BoolValue.Of(false);
            left = right;
        }
        return BoolValue.Of(true);
    }

    public static bool Holds(JinjaRenderer r, string symbol, TemplateValue x, TemplateValue y) => symbol switch
    {
        "==" => JinjaOperators.AreEqual(r, x, y),
        "!=" => !JinjaOperators.AreEqual(r, x, y),
        "in" => JinjaOperators.Contains(r, y, x),
        "not in" => !JinjaOperators.Contains(r, y, x),
        "<" => JinjaOperators.Compare(r, x, y, symbol) < 0,
        "<=" => JinjaOperators.Compare(r, x, y, symbol) <= 0,
        ">" => JinjaOperators.Compare(r, x, y, symbol) == 1,
        _ => JinjaOperators.Compare(r, x, y, symbol) is 0 or 1,
    };
}
