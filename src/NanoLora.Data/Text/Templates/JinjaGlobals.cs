using System.Numerics;

namespace NanoLora.Data;

/// <summary>The functions that every chat template has.</summary>
internal static class JinjaGlobals
{
    private const int MostInRange = 100_000;                // the reference's sandbox refuses more, too

    private static readonly FunctionValue s_range = new("range", Range), s_dict = new("dict", Dict), s_namespace = new("namespace", Namespace),
        s_raise = new("raise_exception", Raise), s_now = new("strftime_now", Now), s_joiner = new("joiner", Joiner), s_cycler = new("cycler", Cycler);

    public static TemplateValue? Find(string name) => name switch
    {
        "range" => s_range,
        "dict" => s_dict,
        "namespace" => s_namespace,
        "raise_exception" => s_raise,
        "strftime_now" => s_now,
        "joiner" => s_joiner,
        "cycler" => s_cycler,
        _ => null,
    };

    private static TemplateValue Range(JinjaRenderer r, JinjaArguments a)
    {
        var p = a.Bind(r, "range", "start!", "stop", "step");
        BigInteger Whole(TemplateValue value) => PyNumber.TryInt(value, out var number) ? number
            : throw r.Error(JinjaOperators.Problem(value) ?? $"'{value.Type}' object cannot be interpreted as an integer");
        var (start, stop) = p[1] is null ? (0, Whole(p[0]!)) : (Whole(p[0]!), Whole(p[1]!));
        var step = p[2] is null ? 1 : Whole(p[2]!);
        if (step.IsZero) throw r.Error("range() arg 3 must not be zero");
        var count = step.Sign > 0 ? (stop - start + step - 1) / step : (start - stop - step - 1) / -step;
        if (count > MostInRange) throw r.Error($"Range too big. Ranges of more than {MostInRange} numbers are refused.");
        var items = new List<TemplateValue>();
        for (var i = 0; i < count; i++) items.Add(new IntValue(start + i * step));
        return r.List(items, SequenceKind.Range);
    }

    private static MapValue Dict(JinjaRenderer r, JinjaArguments a)
    {
        var map = new MapValue();
        if (a.Given.Count > 1) throw r.Error($"dict expected at most 1 argument, got {a.Given.Count}");
        if (a.Given.Count == 1)
        {
            foreach (var pair in a.Given[0] is MapValue from ? CollectionMethods.Pairs(from) : JinjaOperators.ToList(r, a.Given[0]))
            {
                if (JinjaOperators.ToList(r, pair) is not [var key, var value]) throw r.Error("dictionary update sequence element has not length 2");
                map.Items[JinjaOperators.Key(r, key)] = value;
            }
        }
        foreach (var (name, value) in a.Named) map.Items[new TextValue(name)] = value;
        return map;
    }

    private static NamespaceValue Namespace(JinjaRenderer r, JinjaArguments a)
    {
        var space = new NamespaceValue();
        foreach (var (key, value) in Dict(r, a).Items)
        {
            if (key is not TextValue name) throw r.Error("the names of a namespace must be texts");
            space.Fields[name.Value] = value;
        }
        return space;
    }

    private static TemplateValue Raise(JinjaRenderer r, JinjaArguments a) =>
        throw r.Error(JinjaPrinter.Text(r, a.Bind(r, "raise_exception", "message!")[0]!), raised: true);

    private static TemplateValue Now(JinjaRenderer r, JinjaArguments a)
    {
        var format = JinjaArguments.Text(r, a.Bind(r, "strftime_now", "format!")[0]!);
        r.Room(8L * format.Length);
        return r.Text(Strftime.Format(r, r.Clock(), format));
    }

    private static FunctionValue Joiner(JinjaRenderer r, JinjaArguments a)
    {
        var (between, used) = (a.Bind(r, "joiner", "sep")[0] ?? new TextValue(", "), false);
        return new FunctionValue("joiner", (_, _) =>
        {
            var value = used ? between : new TextValue("");
            used = true;
            return value;
        });
    }

    private static FunctionValue Cycler(JinjaRenderer r, JinjaArguments a)
    {
        if (a.Given.Count == 0) throw r.Error("at least one item has to be provided");
        var (items, at) = (a.Given, 0);
        FunctionValue next = new("next", (_, _) =>
        {
            var item = items[at];
            at = (at + 1) % items.Count;
            return item;
        });
        FunctionValue reset = new("reset", (_, _) =>
        {
            at = 0;
            return TemplateValue.None;
        });
        return new FunctionValue("cycler", static (r, _) => throw r.Error("'Cycler' object is not callable"))
        {
            Attribute = name => name switch { "next" => next, "reset" => reset, "current" => items[at], _ => null },
        };
    }
}
